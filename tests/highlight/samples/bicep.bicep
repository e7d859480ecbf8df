// storage for the backups
param location string = 'westeurope'
param copies int = 2

resource store 'Microsoft.Storage/storageAccounts@2023-01-01' = {
  name: 'backup${copies}'
  location: location
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
}
